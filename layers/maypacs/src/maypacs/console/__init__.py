"""What each route of the console does: a request in, its JSON out (None: 204). The routes: functions/console."""
