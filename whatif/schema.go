package whatif

import (
	"reflect"
	"strings"
)

// Schema returns the JSON Schema (2020-12) of a scenario file.
func Schema() map[string]any {
	s := schemaOf(reflect.TypeFor[Scenario]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Wattle what-if scenario"
	return s
}

func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[Range]():
		number := map[string]any{"type": "number"}
		return map[string]any{"anyOf": []any{
			number,
			map[string]any{"type": "string", "description": "LOW/TYPICAL/HIGH"},
			map[string]any{"type": "array", "items": number, "minItems": 3, "maxItems": 3},
			object(map[string]any{"low": number, "typical": number, "high": number}, "low", "typical", "high"),
		}}
	case reflect.TypeFor[Terabytes](), reflect.TypeFor[Bytes]():
		return map[string]any{"type": []any{"number", "string"}}
	case reflect.TypeFor[Words]():
		text := map[string]any{"type": "string"}
		return map[string]any{"anyOf": []any{text, map[string]any{"type": "array", "items": text}}}
	case reflect.TypeFor[Boundary]():
		return map[string]any{"enum": boundaries}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "number"}
}

func schemaOfStruct(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		p := schemaOf(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		properties[name] = p
	}
	return object(properties)
}

func object(properties map[string]any, required ...string) map[string]any {
	o := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}
