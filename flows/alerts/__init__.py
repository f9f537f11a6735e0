"""Alerts: which changes are told to whom, in what words, and the outbox that sees to it that none is lost."""
