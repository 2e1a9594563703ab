"""All events, not only messages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns. What an older version has accepted cannot be read any more: it is over."""
    op.add_column(
        "inbound",
        sa.Column(
            "name",
            sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
            server_default="Message",
        ),
    )
    op.add_column(
        "inbound",
        sa.Column(
            "kind",
            sa.String(20).with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
            server_default="",
        ),
    )
    op.add_column("inbound", sa.Column("start", sa.Integer, nullable=False, server_default="-1"))


def downgrade() -> None:
    """Drop them."""
    for column in ("name", "kind", "start"):
        op.drop_column("inbound", column)
