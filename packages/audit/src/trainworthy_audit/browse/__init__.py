"""An audit in the FiftyOne App, and what was decided there back again.

FiftyOne is an optional extra, imported only where `connection.connect` is called. The dataset that is made there
mirrors the audited one: its images, boxes and findings are replaced at every update. Tags, fields, saved views and
brain runs that people add stay.
"""
