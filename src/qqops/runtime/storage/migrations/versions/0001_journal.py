"""Journal and names."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "inbound",
        sa.Column("id", key, primary_key=True, autoincrement=False),
        sa.Column(
            "account", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("room", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "message", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "handler", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.Text, nullable=True),
    )
    op.create_index("inbound_state", "inbound", ["state"])
    op.create_index("inbound_at", "inbound", ["at"])
    op.create_table(
        "outbound",
        sa.Column("id", key, primary_key=True, autoincrement=False),
        sa.Column(
            "account", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "plugin", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "message", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("flying", sa.Integer, nullable=False),
        sa.Column("draft", sa.Text, nullable=False),
    )
    op.create_table(
        "names",
        sa.Column(
            "account", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column("kind", sa.String(20).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
        sa.Column(
            "place", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column(
            "name", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column(
            "number", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column("first", sa.Float, nullable=False),
        sa.Column("last", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("names", "outbound", "inbound"):
        op.drop_table(table)
