// Package engineio reads and writes the packets of Engine.IO, protocol version
// 4: the layer below Socket.IO, which carries messages over HTTP long-polling and
// WebSocket.
//
// On WebSocket a text message is one packet and a binary message is the data of
// one. On polling the body of a request or an answer is a payload: packets
// separated by 0x1E, binary ones in base64 behind the letter b.
package engineio
