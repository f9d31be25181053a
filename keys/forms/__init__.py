"""Forms of keys, key roles and gateways. They check shape; what is allowed is the services' business."""

from keys.forms.acts import ReasonForm, RenewForm, RotateForm, TransferForm
from keys.forms.gateways import GatewayForm
from keys.forms.issuing import NarrowForm
from keys.forms.roles import RoleForm

__all__ = ["GatewayForm", "NarrowForm", "ReasonForm", "RenewForm", "RoleForm", "RotateForm",
           "TransferForm"]  # fmt: skip
