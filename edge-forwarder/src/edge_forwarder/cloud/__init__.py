"""What the edge asks the cloud, over HTTPS: its API, its inbox, its DICOMweb archive, and with which key."""
