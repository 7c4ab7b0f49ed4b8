"""What a document uses of a schema, as schema coordinates."""

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


def used_by(document: DocumentNode, schema: GraphQLSchema) -> set[str]:
    """List what a document uses: `Type`, `Type.field`, `Type.field(argument:)`, `Enum.VALUE`, `@directive`.

    What is selected of an interface is used of every type that implements it.
    """
    return _read(document, schema).all


def selected_by(document: DocumentNode, schema: GraphQLSchema) -> set[str]:
    """List the fields that a document selects, an interface's as such."""
    return _read(document, schema).selected


class _Used(Visitor):
    """Gather what a document uses: `selected` are the fields as they are written."""

    def __init__(self, schema: GraphQLSchema, info: TypeInfo) -> None:
        super().__init__()
        self._schema, self._info = schema, info
        self.selected: set[str] = set()
        self.all: set[str] = set()
        self._field: str | None = None  # the one whose arguments come next

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent, field, name = self._info.get_parent_type(), self._info.get_field_def(), node.name.value
        self._field = None
        if parent is not None and field is not None and not name.startswith("__"):
            self._field = f"{parent.name}.{name}"
            self.selected.add(self._field)
            kinds = [parent, *(self._schema.get_possible_types(parent) if is_abstract_type(parent) else ())]
            self.all |= {f"{kind.name}.{name}" for kind in kinds} | {get_named_type(field.type).name}

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        directive = self._info.get_directive()
        place = f"@{directive.name}" if directive else self._field
        if place is not None:
            self.all.add(f"{place}({node.name.value}:)")
        self._take(get_named_type(self._info.get_input_type()))

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.all.add(f"@{node.name.value}")

    def enter_named_type(self, node: NamedTypeNode, *_: Any) -> None:
        self._take(self._schema.type_map.get(node.name.value))

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        self.all.add(f"{get_named_type(self._info.get_parent_input_type())}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        self.all.add(f"{get_named_type(self._info.get_input_type())}.{node.value}")

    def _take(self, kind: GraphQLNamedType | None) -> None:
        """Take a type; an input's fields bring their types along, for a variable may have any of them."""
        if kind is None or kind.name in self.all:
            return
        self.all.add(kind.name)
        if isinstance(kind, GraphQLInputObjectType):
            for field in kind.fields.values():
                self._take(get_named_type(field.type))


def _read(document: DocumentNode, schema: GraphQLSchema) -> _Used:
    info = TypeInfo(schema)
    used = _Used(schema, info)
    visit(document, TypeInfoVisitor(info, used))
    return used
