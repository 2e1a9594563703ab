"""How often the handler of a message was started."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the count; what has no end was started once at least."""
    op.add_column("inbound", sa.Column("starts", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE inbound SET starts = 1 WHERE state = 1")


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("inbound") as table:
        table.drop_column("starts")
