"""What keeps a host healthy: patches, certificates, logs. Runs on the host itself, as root."""
