package duplex_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/internal/duplex"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/websocket"
)

// The options that both transports have are the same: one default, and one error for
// each bad value. A field that one of them forgets to share fails here.
func TestSharedOptions(t *testing.T) {
	settings := reflect.TypeFor[duplex.Settings]()
	for i := range settings.NumField() {
		name := settings.Field(i).Name
		ws, sio := reflect.ValueOf(websocket.Config{}.WithDefaults()).FieldByName(name), reflect.ValueOf(socketio.Config{}.WithDefaults()).FieldByName(name)
		if !reflect.DeepEqual(ws.Interface(), sio.Interface()) || name != "Origins" && ws.IsZero() {
			t.Errorf("%s: the defaults are %v and %v", name, ws, sio)
		}
		var one websocket.Config
		var other socketio.Config
		bad := func(v reflect.Value) {
			if f := v.FieldByName(name); f.CanInt() {
				f.SetInt(-1)
			} else {
				f.Set(reflect.ValueOf([]string{"no origin"}))
			}
		}
		bad(reflect.ValueOf(&one).Elem())
		bad(reflect.ValueOf(&other).Elem())
		a, b := one.WithDefaults().Validate(), other.WithDefaults().Validate()
		switch {
		case name == "MaxConnections" || name == "LoadWait": // off
			if a != nil || b != nil {
				t.Errorf("%s: %v, %v", name, a, b)
			}
		case a == nil || b == nil || a.Error() != strings.Split(b.Error(), "\n")[0]:
			t.Errorf("%s: %v, %v", name, a, b)
		}
	}
}
