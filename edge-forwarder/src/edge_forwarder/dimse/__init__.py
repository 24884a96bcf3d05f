"""The Upper Layer and DIMSE, of both sides (PS3.7, PS3.8): bytes, connections, associations, and who answers what."""
