"""`manage.py demo`: a believable company on the sandbox, so that every page can be looked at with something on it.

cast.py who and what there is, plan.py what each key was for and did, company.py made by the services that people use,
past.py given a past, asked.py the requests, today.py what goes on at this moment. Amounts, names and states are the
same in every installation; ids and secrets are not, and all times count back from now.
"""
