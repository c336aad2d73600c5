import {parseDocument, visit} from 'yaml';
import type * as z from 'zod';
import type {Issue} from './issue.ts';

export interface ParsedYaml<T> {
  /** Null where there are issues. */
  readonly value: T | null;
  readonly issues: Issue[];
  /** Where a part of the value stands, for what only a closer look finds; the nearest part that exists. */
  positionOf(path: readonly PropertyKey[]): {line: number; column: number};
}

type Document = ReturnType<typeof parseDocument>;

/** Parses and checks a YAML text. Issues carry line and column; an empty text counts as an empty mapping. */
export function parseYaml<T>(text: string, file: string, schema: z.ZodType<T>): ParsedYaml<T> {
  const document = parseDocument(text, {prettyErrors: false, logLevel: 'error'});
  const at = (offset: number) => position(text, offset);
  const positionOf = (path: readonly PropertyKey[]) => at(nodeOffset(document, path));
  const refused = (issues: Issue[]) => ({value: null, issues, positionOf});
  if (document.errors.length > 0) {
    return refused(
      document.errors.map(({pos, message}) => ({file, ...at(pos[0]), code: 'yaml_invalid', message})),
    );
  }
  const plain = plainValue(document);
  if ('problem' in plain)
    return refused([{file, ...at(firstAliasOffset(document)), code: 'yaml_invalid', message: plain.problem}]);
  const parsed = schema.safeParse(plain.value ?? {});
  if (parsed.success) return {value: parsed.data, issues: [], positionOf};
  return refused(
    parsed.error.issues.map((issue) => ({
      file,
      ...positionOf(issue.path),
      code: issue.code === 'unrecognized_keys' ? 'key_unknown' : 'value_invalid',
      message: `${issue.path.join('.') || 'the file'}: ${issue.message}`,
    })),
  );
}

/** Aliases are resolved only here: one may name nothing, or many may multiply beyond any use. */
function plainValue(document: Document): {value: unknown} | {problem: string} {
  try {
    return {value: document.toJS({maxAliasCount: 50})};
  } catch (error) {
    return {problem: error instanceof Error ? error.message : String(error)};
  }
}

function firstAliasOffset(document: Document): number {
  let offset = 0;
  visit(document, {
    Alias(_key, {range}) {
      offset = range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

function nodeOffset(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      return Number(node.range[0]);
    }
  }
  return 0;
}

function position(text: string, offset: number): {line: number; column: number} {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return {line: before.split('\n').length, column: offset - lineStart + 1};
}
