"""How this edge and its devices are: gathered here, told to the console, to Prometheus and to whoever asks."""
