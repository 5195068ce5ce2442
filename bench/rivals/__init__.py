"""What peerup is measured against; each says by itself why it cannot be had here."""
