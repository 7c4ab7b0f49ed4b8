"""The elements of a schema that a document uses, as schema coordinates."""

from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    NamedTypeNode,
    ObjectFieldNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    is_abstract_type,
    visit,
)


def used_coordinates(document: DocumentNode, schema: GraphQLSchema) -> set[str]:
    """List the schema coordinates that a consumer's document uses: `Type.field`, `Enum.VALUE`, `@directive`, …

    A field that is selected on an interface counts as used on every type that implements the interface.
    """
    return _visit(document, schema).all


def selected_fields(document: DocumentNode, schema: GraphQLSchema) -> dict[str, int | None]:
    """List the fields that a consumer's document selects, each with its first line, without introspection.

    A field of an interface has the interface's name.
    """
    return _visit(document, schema).selected


class _UsageVisitor(Visitor):
    """A visitor that collects coordinates: `selected` contains the fields as written; `all` also contains the elements
    that these fields imply."""

    def __init__(self, schema: GraphQLSchema, info: TypeInfo) -> None:
        super().__init__()
        self._schema, self._info = schema, info
        self.selected: dict[str, int | None] = {}
        self.all: set[str] = set()
        self._field: str | None = None  # the field whose arguments are visited next

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Note a field that a consumer's document uses, in each type that can have it."""
        parent, field, name = self._info.get_parent_type(), self._info.get_field_def(), node.name.value
        self._field = None
        if parent is not None and field is not None and not name.startswith("__"):
            self._field = f"{parent.name}.{name}"
            if not parent.name.startswith("__"):
                self.selected.setdefault(self._field, node.loc.start_token.line if node.loc else None)
            kinds = [parent, *(self._schema.get_possible_types(parent) if is_abstract_type(parent) else ())]
            self.all |= {f"{kind.name}.{name}" for kind in kinds} | {get_named_type(field.type).name}

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        """Note an argument that a consumer's document uses, and its type."""
        directive = self._info.get_directive()
        place = f"@{directive.name}" if directive else self._field
        if place is not None:
            self.all.add(f"{place}({node.name.value}:)")
        self._add_type(get_named_type(self._info.get_input_type()))

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        """Note a directive that a consumer's document uses."""
        self.all.add(f"@{node.name.value}")

    def enter_named_type(self, node: NamedTypeNode, *_: Any) -> None:
        """Note a type that a consumer's document names."""
        self._add_type(self._schema.type_map.get(node.name.value))

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        """Note a field of an input object that a consumer's document uses."""
        self.all.add(f"{get_named_type(self._info.get_parent_input_type())}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        """Note a value of an enumeration that a consumer's document uses."""
        self.all.add(f"{get_named_type(self._info.get_input_type())}.{node.value}")

    def _add_type(self, kind: GraphQLNamedType | None) -> None:
        """Note a type that a consumer's document uses, and of an input the types of its fields."""
        if kind is None or kind.name in self.all:
            return
        self.all.add(kind.name)
        if isinstance(kind, GraphQLInputObjectType):
            for field in kind.fields.values():
                self._add_type(get_named_type(field.type))


def _visit(document: DocumentNode, schema: GraphQLSchema) -> _UsageVisitor:
    """Collect what a consumer's document uses of a schema."""
    info = TypeInfo(schema)
    used = _UsageVisitor(schema, info)
    visit(document, TypeInfoVisitor(info, used))
    return used
