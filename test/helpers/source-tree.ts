import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, normalize} from 'node:path';
import {type Node, parseSync} from 'oxc-parser';

/** The directories of the product; tests, benches and fixtures are not part of it. */
const productDirectories = ['schemas', 'runtime', 'reconciler', 'api', 'cli'];
const root = join(import.meta.dirname, '../..');

export interface SourceFile {
  /** From the root of the checkout, with `/`. */
  readonly path: string;
  readonly program: Node;
  readonly imports: readonly SourceImport[];
  /** Line of a node, from 1. */
  lineOf(node: {readonly start: number}): number;
}

export interface SourceImport {
  /** A path from the root of the checkout, or the name of a package or builtin module as written. */
  readonly target: string;
  readonly isLocal: boolean;
  /** True where nothing of it is left at run time. */
  readonly typesOnly: boolean;
  readonly line: number;
}

/** Every TypeScript file of the product, parsed. */
export function readProduct(): SourceFile[] {
  return productDirectories.flatMap((directory) =>
    readdirSync(join(root, directory), {recursive: true, encoding: 'utf8'})
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .sort()
      .map((name) => parseSource(`${directory}/${name}`, readFileSync(join(root, directory, name), 'utf8'))),
  );
}

export function parseSource(path: string, text: string): SourceFile {
  const {program, module, errors} = parseSync(path, text);
  const [problem] = errors;
  if (problem !== undefined) throw new Error(`${path}: ${problem.message}`);
  const lineOf = ({start}: {start: number}) => text.slice(0, start).split('\n').length;
  const importOf = (request: string, typesOnly: boolean, start: number): SourceImport => ({
    target: request.startsWith('.') ? normalize(join(dirname(path), request)) : request,
    isLocal: request.startsWith('.'),
    typesOnly,
    line: lineOf({start}),
  });
  const imports = module.staticImports.map(({moduleRequest, entries, start}) =>
    importOf(moduleRequest.value, entries.length > 0 && entries.every(({isType}) => isType), start),
  );
  const exports = module.staticExports.flatMap(({entries}) =>
    entries.flatMap(({moduleRequest, isType, start}) =>
      moduleRequest === null ? [] : [importOf(moduleRequest.value, isType, start)],
    ),
  );
  const dynamic: SourceImport[] = [];
  visit(program, (node) => {
    if (node.type === 'ImportExpression' && node.source.type === 'Literal')
      dynamic.push(importOf(String(node.source.value), false, node.start));
    if (node.type === 'TSImportType') dynamic.push(importOf(node.source.value, true, node.start));
  });
  return {path, program, imports: [...imports, ...exports, ...dynamic], lineOf};
}

/** Calls back with every node below and including `node`, parents first. */
export function visit(node: Node, callback: (node: Node) => void): void {
  callback(node);
  for (const child of childrenOf(node)) visit(child, callback);
}

function childrenOf(node: Node): Node[] {
  return Object.entries(node)
    .filter(([name]) => name !== 'parent')
    .flatMap(([, value]: [string, unknown]) => (Array.isArray(value) ? value : [value]))
    .filter(isNode);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** `process.env` for that expression, also where it is written `process['env']`; null for anything else. */
export function memberName(node: Node): string | null {
  if (node.type !== 'MemberExpression' || node.object.type !== 'Identifier') return null;
  if (!node.computed && node.property.type === 'Identifier')
    return `${node.object.name}.${node.property.name}`;
  if (node.property.type === 'Literal') return `${node.object.name}.${String(node.property.value)}`;
  return null;
}
