"""Values by key."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kv",
        sa.Column(
            "namespace", sa.String(200).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True
        ),
        sa.Column("key", sa.String(400).with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("expires", sa.Float, nullable=True),
    )
    op.create_index("kv_expires", "kv", ["expires"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("kv")
