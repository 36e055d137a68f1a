package live

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/digest"
)

// Version identifies a snapshot by its content.
type Version struct {
	// Token is a hash of the content: letters, digits, "-" and "_", always [TokenLength]
	// long. Two snapshots of one binding have the same token exactly when they hold the
	// same rows, with the same encoding, in the same order, on any node and in any run.
	// Tokens of two bindings differ. It serves as strong entity tag and as resume token.
	Token string
	// Seq counts the versions since the program started, from 1. It is for people and
	// metrics, and means nothing on other nodes.
	Seq uint64
	// Modified is when this node saw the content change, or when Touch was last called.
	Modified time.Time
}

// TokenLength is the length of every version token, in bytes.
const TokenLength = digest.TokenLength
