import type {Node, Program} from 'oxc-parser';
import {visitNodes} from './script-nodes.ts';
import {parseScript} from './script-parser.ts';

/** Something a script asks for by a name that is written in it. */
export interface ScriptImport {
  /** As written, for example `./lib/day.ts`, `bun:sqlite` or `@scope/package/part`. */
  readonly module: string;
  readonly kind: 'import' | 'export' | 'dynamic' | 'require';
  /** Where the statement or call begins; counts UTF-16 code units. */
  readonly start: number;
}

/** What a script imports, in the order of the text; imports of types only are left out. A text that does not parse has none. */
export async function scriptImports(path: string, text: string): Promise<readonly ScriptImport[]> {
  const {program} = await parseScript(path, text);
  return importsOf(program);
}

/** The same of a program that is parsed already. */
export function importsOf(program: Program): readonly ScriptImport[] {
  const found: ScriptImport[] = [];
  visitNodes(program, (node) => {
    const one = importOf(node);
    if (one !== null) found.push(one);
    return undefined;
  });
  return found;
}

function importOf(node: Node): ScriptImport | null {
  const {start} = node;
  switch (node.type) {
    case 'ImportDeclaration':
      return node.importKind === 'type' ? null : {module: node.source.value, kind: 'import', start};
    case 'ExportAllDeclaration':
      return node.exportKind === 'type' ? null : {module: node.source.value, kind: 'export', start};
    case 'ExportNamedDeclaration':
      if (node.source === null || node.exportKind === 'type') return null;
      return {module: node.source.value, kind: 'export', start};
    case 'ImportExpression':
      return isText(node.source) ? {module: node.source.value, kind: 'dynamic', start} : null;
    case 'CallExpression': {
      const [name] = node.arguments;
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'require' || name === undefined)
        return null;
      return isText(name) ? {module: name.value, kind: 'require', start} : null;
    }
    default:
      return null;
  }
}

function isText(node: Node): node is Extract<Node, {type: 'Literal'}> & {value: string} {
  return node.type === 'Literal' && typeof node.value === 'string';
}
