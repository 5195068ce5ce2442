"""Conformance suites: what every muxer, byte stream, stream and transport must do.

A suite is a class that is not collected by itself. A test file inherits from it and says how to
make the thing; an implementation outside peerup can do the same. Over which clock a suite runs
is the subclass's choice too, by its fixture ``drive``.
"""
