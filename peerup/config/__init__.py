"""The files peerup keeps: configuration, authorized peers and the identity key.

``paths`` finds them, ``source`` reads a configuration as far as where the key is, ``load`` all
of it into ``schema``, ``edit`` changes one setting and keeps the user's comments, ``template``
writes the first one, ``explain`` and ``advice`` talk about it. ``confirm`` tries another one for
some minutes, by ``confirm_rules``, and ``archive`` goes back to one that ran well; their files
are in ``side_files``. ``authorized_keys`` and ``identity`` are the other two files. All of them
are shared with the Go implementation.

Nothing is imported here, so that a command that needs only the key does not load YAML.
"""
