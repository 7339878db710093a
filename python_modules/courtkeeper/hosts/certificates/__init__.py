"""Certificates of a host: issued and renewed by certbot, deployed with a way back, and watched."""
