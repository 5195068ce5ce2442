"""How fast peerup is, beside its rivals and on the machine at hand. ``bench/run.py`` runs it."""
