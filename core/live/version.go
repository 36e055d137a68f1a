package live

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/digest"
)

// Version names a snapshot by what it holds.
type Version struct {
	// Token is a hash of the content: letters, digits, "-" and "_", always
	// [TokenLength] long. Two snapshots of one binding have the same token
	// exactly when they hold the same rows, encoded alike, in the same order,
	// on whatever node and in whatever run; tokens of two bindings differ. It
	// serves as strong entity tag and as resume token.
	Token string
	// Seq counts the versions since the program started, from 1. It is for
	// people and metrics and means nothing on another node.
	Seq uint64
	// Modified is when this node saw the content change, or was told so by
	// Touch.
	Modified time.Time
}

// TokenLength is the length of every version token, in bytes.
const TokenLength = digest.TokenLength
