"""Compile a selection of a list into one function from rows to answers.

graphql-core completes a field in 3 µs, which is most of a page of 1,000 rows. The selection on a page of rows (after
fragments, aliases, @skip and @include) is compiled once into Python source that builds each row's answer, from the
same declarations as the ordinary path, governance included. What a field does not declare falls back to that path.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from graphql import GraphQLEnumType, GraphQLField, GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from db.policy.document import Policy
from schema.actor import Role
from schema.governed import Source, governance_of

# response key, field name, selection beneath it; hashable, the key of the cache
Shape = tuple[tuple[str, str, "Shape | None"], ...]

_CACHE_SIZE = 128


class RowPage(ABC):
    """The rows of one statement, and what they share: a page that the compiled path can answer."""

    columns: ClassVar[Mapping[str, int]]
    """The position of each column in a row."""
    prepared: ClassVar[str | None] = None
    """The type whose objects the page builds itself in its list `objects`, because its fields have their own
    resolvers."""
    policy: Policy | None
    """The policy that was used for the decisions about the rows; None if the rows have no reasons."""

    @property
    @abstractmethod
    def rows(self) -> Sequence[Any]:
        """Return the rows that a compiled GraphQL selection answers from, values in the order of `columns`."""


class NotCompiled(Exception):
    """A selection with a field that the compiled path cannot answer: the ordinary path does."""


@dataclass(frozen=True, slots=True)
class Column(Source):
    """The value of a column."""

    name: str

    def expression(self, compiler: "Compiler", _field: GraphQLField, _shape: Shape | None) -> str:
        """Compile a GraphQL field into the row's column."""
        return f"row[{compiler.columns[self.name]}]"


class _EnumValues(dict[str | None, str | None]):
    """The values of an enumeration. Any other value of the column stays undisclosed: the ordinary path fails on it."""

    def __missing__(self, word: str | None) -> str | None:
        raise NotCompiled


@dataclass(frozen=True, slots=True)
class EnumColumn(Source):
    """The value of a column that holds a value of an enumeration, or null."""

    name: str
    enumeration: type[StrEnum]

    def expression(self, compiler: "Compiler", _field: GraphQLField, _shape: Shape | None) -> str:
        """Compile a GraphQL enum field into the word for a row's column."""
        words = _EnumValues({None: None} | {member.value: member.value for member in self.enumeration})
        return f"{compiler.bind(words)}[row[{compiler.columns[self.name]}]]"


@dataclass(frozen=True, slots=True)
class Computed(Source):
    """The value that a function makes from columns."""

    function: Callable[..., Any]
    columns: tuple[str, ...]

    def expression(self, compiler: "Compiler", _field: GraphQLField, _shape: Shape | None) -> str:
        """Compile a GraphQL field into a function of a row's columns."""
        values = ", ".join(f"row[{compiler.columns[name]}]" for name in self.columns)
        return f"{compiler.bind(self.function)}({values})"


@dataclass(frozen=True, slots=True)
class FromList(Source):
    """The value from a list that the page makes once for all its rows."""

    name: str

    def expression(self, compiler: "Compiler", _field: GraphQLField, _shape: Shape | None) -> str:
        """Compile a GraphQL field into the value of a list that has one per row."""
        return compiler.listed(self.name)


@dataclass(frozen=True, slots=True)
class FromPage(Source):
    """The value that all rows of the page share."""

    name: str

    def expression(self, _compiler: "Compiler", _field: GraphQLField, _shape: Shape | None) -> str:
        """Compile a GraphQL field into a value of the whole page."""
        return f"page.{self.name}"


@dataclass(frozen=True, slots=True)
class SameRow(Source):
    """A nested object from the same row."""

    def expression(self, compiler: "Compiler", declared: GraphQLField, shape: Shape | None) -> str:
        """Compile a nested GraphQL object that has its values in the same row."""
        return compiler.object(object_type(declared.type), shape)


@dataclass
class Compiler:
    """A compiler of one selection for one role and one kind of page.

    What is compiled outlives the page that asked first, so the compiler knows what such pages share and no rows.
    With `shape` None in `object`, instances of the declared types are built, every field filled: the ordinary path's
    objects come from the very same sources.
    """

    columns: Mapping[str, int]
    policy: Policy | None
    role: Role
    prepared: str | None = None
    names: dict[str, Any] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)

    def bind(self, value: object) -> str:
        """Bind a value to a name in the Python source that GraphQL rows are compiled to."""
        name = f"bound_{len(self.names)}"
        self.names[name] = value
        return name

    def listed(self, name: str) -> str:
        """Return the loop variable that walks along a list of the page in the compiled source."""
        if name not in self.lists:
            self.lists.append(name)
        return f"each_{name}"

    def object(self, kind: GraphQLObjectType, shape: Shape | None) -> str:
        """Write the compiled expression that builds a GraphQL object of a row."""
        if shape is None and kind.name == self.prepared:
            return self.listed("objects")
        if shape is None:
            origin = self.bind(kind.extensions["strawberry-definition"].origin)
            values = (f"{python_name(declared)}={self._instance_value(declared)}" for declared in kind.fields.values())
            return f"{origin}({', '.join(values)})"
        entries = (f"{key!r}: {self._value(kind, name, beneath)}" for key, name, beneath in shape)
        return "{" + ", ".join(entries) + "}"

    def render(self, kind: GraphQLObjectType, shape: Shape | None, values: Mapping[str, Any]) -> Any:
        """Build a GraphQL object from values by field name, for objects that few values of a row change."""
        if shape is None:
            return kind.extensions["strawberry-definition"].origin(
                **{python_name(declared): values[name] for name, declared in kind.fields.items()}
            )
        return {key: kind.name if name == "__typename" else values[name] for key, name, _ in shape}

    def _value(self, kind: GraphQLObjectType, name: str, beneath: Shape | None) -> str:
        """Write the compiled expression of one GraphQL field."""
        if name == "__typename":
            return repr(kind.name)
        governance = self._governance(kind, name)
        if beneath is not None:
            self._check(object_type(kind.fields[name].type), beneath)
        if governance.source is None or kind.fields[name].args:
            raise NotCompiled
        return str(governance.source.expression(self, kind.fields[name], beneath))

    def _check(self, kind: GraphQLObjectType, shape: Shape) -> None:
        """Check the readers of all GraphQL fields beneath, also where an object is rendered as a whole."""
        for _, name, beneath in shape:
            if name != "__typename":
                self._governance(kind, name)
                if beneath is not None:
                    self._check(object_type(kind.fields[name].type), beneath)

    def _governance(self, kind: GraphQLObjectType, name: str) -> Any:
        """Return a GraphQL field's declaration; what the role may not read is not compiled but refused elsewhere."""
        governance = governance_of(kind.fields[name])
        if governance is None or self.role not in governance.readers:
            raise NotCompiled
        return governance

    def _instance_value(self, declared: GraphQLField) -> str:
        """Write the compiled expression of a field for an object of its Python class."""
        governance = governance_of(declared)
        if governance is None or governance.source is None:
            raise NotCompiled
        value = str(governance.source.expression(self, declared, None))  # type: ignore[attr-defined]  # every source has it
        kind = get_named_type(declared.type)
        if isinstance(kind, GraphQLEnumType):
            return f"{self.bind(kind.extensions['strawberry-definition'].wrapped_cls)}({value})"
        return value


CompiledRows = Callable[[RowPage], Iterator[Any]]


def compile_rows(page: RowPage, role: Role, kind: GraphQLObjectType, shape: Shape | None) -> CompiledRows:
    """Compile a GraphQL selection into the function that answers for all rows of pages like this one.

    Raises NotCompiled when the ordinary path has to answer: a field has no source, or the role may not read it.
    """
    compiler = Compiler(page.columns, page.policy, role, page.prepared)
    try:
        body = compiler.object(kind, shape)
    except KeyError:  # a column that the page was read without
        raise NotCompiled from None
    each = ", ".join(["row", *(f"each_{name}" for name in compiler.lists)])
    lists = "".join(f", page.{name}" for name in compiler.lists)
    source = f"lambda page: ({body} for {each},  in zip(page.rows{lists}))"
    # The source is made of our own declarations; of a request it holds response keys only, each written by repr().
    compiled: CompiledRows = eval(source, compiler.names)  # noqa: S307
    return compiled


def build_objects(page: RowPage, role: Role, kind: GraphQLObjectType) -> list[Any]:
    """Build the GraphQL objects of a page's rows, every field filled, for callers that need them one by one."""
    return list(_compile_cached(page, role, kind, None)(page))


def answer_rows(
    execution: StrawberryGraphQLCoreExecutionContext,
    page: RowPage,
    kind: GraphQLObjectType,
    details: list[FieldDetails],
) -> Iterator[Any]:
    """Answer a GraphQL list row by row by a compiled function.

    Raises NotCompiled, also at a row, when the ordinary path has to answer.
    """
    shape = _selection_shape(execution, kind, details)
    return _compile_cached(page, execution.context_value.actor.role, kind, shape)(page)


def answer_page(page: RowPage, role: Role, kind: GraphQLObjectType, shape: Shape | None) -> Iterator[Any]:
    """Answer a GraphQL list whose selection is known already, row by row. Raises NotCompiled, also at a row."""
    return _compile_cached(page, role, kind, shape)(page)


def shape_beneath(
    execution: StrawberryGraphQLCoreExecutionContext, kind: GraphQLObjectType, details: list[FieldDetails]
) -> Shape:
    """Return the nested field names of a GraphQL selection beneath a field. Raises NotCompiled."""
    return _selection_shape(execution, kind, details)


def _compile_cached(page: RowPage, role: Role, kind: GraphQLObjectType, shape: Shape | None) -> CompiledRows:
    """Compile a GraphQL selection once: the function is kept with the type, and so ends with its schema."""
    known: dict[tuple[type, str, Role, Shape | None], CompiledRows] = kind.extensions.setdefault("compiled", {})
    version = page.policy.version if page.policy else ""
    key = (type(page), version, role, shape)
    rows = known.pop(key, None) or compile_rows(page, role, kind, shape)
    known[key] = rows  # last in, last out: the least recently used goes first
    if len(known) > _CACHE_SIZE:
        del known[next(iter(known))]
    return rows


def _selection_shape(
    execution: StrawberryGraphQLCoreExecutionContext, kind: GraphQLObjectType, details: list[FieldDetails]
) -> Shape:
    """Return the nested field names of a GraphQL selection, by which compiled functions are cached."""
    collected = execution.collect_subfields(kind, details).grouped_field_set
    return tuple(_shape_entries(execution, kind, collected))


def _shape_entries(
    execution: StrawberryGraphQLCoreExecutionContext,
    kind: GraphQLObjectType,
    collected: Mapping[str, list[FieldDetails]],
) -> Iterator[tuple[str, str, Shape | None]]:
    """Yield each field of a GraphQL selection with the shape of what is selected beneath it."""
    for key, details in collected.items():
        node = details[0].node
        name = node.name.value
        if node.selection_set is None:
            yield key, name, None
        else:
            beneath = get_named_type(kind.fields[name].type)
            if not isinstance(beneath, GraphQLObjectType):
                raise NotCompiled
            yield key, name, _selection_shape(execution, beneath, details)


def object_type(declared: Any) -> GraphQLObjectType:
    """Return the GraphQL object type of a list or field. Raises NotCompiled where it is none."""
    kind = get_named_type(declared)
    if not isinstance(kind, GraphQLObjectType):
        raise NotCompiled
    return kind


def python_name(declared: GraphQLField) -> str:
    """Return the Python name of a GraphQL field."""
    return str(declared.extensions["strawberry-definition"].python_name)
