package writing

import "testing"

func TestLoneSurrogate(t *testing.T) {
	for text, want := range map[string]bool{
		`{"name":"\ud83d\uDE00"}`:                false,
		`{"name":"\\ud83d"}`:                     false,
		`{"name":"\\\ud83d"}`:                    true,
		`{"name":"\\ud83d \ud83d\uDE00 \u00e9"}`: false,
		`{"\ud83d":1}`:                           true,
		`"\ud83d\ud83d\ude00"`:                   true,
		`"\ud83d\u00e9"`:                         true,
		`"\ude00"`:                               true,
		`"\ud83d`:                                true, // cut, and refused anyway
		`"\u`:                                    false,
		`\`:                                      false,
		``:                                       false,
	} {
		if got := loneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
