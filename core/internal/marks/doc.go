// Package marks is the text form of marks: what names a point in the history of
// commits, so that it can travel with a client from one answer to the next
// request, and to another node.
//
// A mark is the unpadded base64url form (RFC 4648, section 5) of
//
//	format (1 byte) node (8) number (uvarint) parts… checksum (4)
//
// and a part is
//
//	length of its kind (1 byte, not 0) kind, length of its data (uvarint) data
//
// The checksum is the CRC-32C of everything before it, big-endian. It finds marks
// that were cut or mistyped; it protects against nothing else.
package marks
