"""C-FIND, C-MOVE and C-GET (PS3.4 C), answered from the cloud's archive, with a cache of images beside."""
