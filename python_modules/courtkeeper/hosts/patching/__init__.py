"""Upgrade a host's packages: plan, change, gate, and go back when the gate fails."""
