"""Every mail before checkers that none of us wrote; docs/mail-quality.md names them and gives the figures.

`mail.mails` renders every type in every language. `mail.checkers` runs each checker over a whole folder in
one process. `mail.measure` prints the figures of any folder of HTML files, ours or somebody else's.
"""
