"""The SMTP side: a relay that takes our mail, and a catcher that stands in for one."""
