"""Pictures of mails and pages for README and docs: `make screenshots`."""
