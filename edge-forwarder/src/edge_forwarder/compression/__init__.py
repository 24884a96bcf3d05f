"""One instance compressed without loss, and proven to be the same. Pure: bytes to bytes."""
