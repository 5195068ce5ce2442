"""Tests of the files peerup keeps."""
