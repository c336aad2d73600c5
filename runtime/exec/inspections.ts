import type {Program} from 'oxc-parser';
import type {Issue} from '../../schemas/issue.ts';
import {checkScript, positionOf} from '../platform/script-check.ts';
import {importsOf, type ScriptImport} from '../platform/script-imports.ts';
import {visitNodes} from '../platform/script-nodes.ts';
import {parseScript} from '../platform/script-parser.ts';
import {compileScript} from './compile.ts';
import type {CompiledScript} from './compiled-script.ts';
import {listMagicComments} from './magic-comments.ts';
import {readScriptOptions} from './script-options.ts';
import {wrapScript} from './wrap.ts';

export interface ScriptText {
  /** Tells the language by its ending. */
  readonly path: string;
  readonly text: string;
}

/** An import with its place, from 1. */
export interface LocatedImport extends Pick<ScriptImport, 'module' | 'kind'> {
  readonly line: number;
  readonly column: number;
}

export type ScriptForm = 'body' | 'module_exports' | 'default_export' | 'method_exports';

/** What a script answers with, as far as its text tells. */
export interface ScriptReturns {
  readonly form: ScriptForm;
  readonly returns: readonly {readonly line: number; readonly type: string}[];
}

/** A script as it is loaded. */
export interface LoadedForm {
  readonly form: ScriptForm;
  readonly hasImports: boolean;
  readonly text: string;
}

/** What can be found out of a text by parsing it. Runs in the inspector's process: a text may bring the parser down. */
export const inspections = {
  check: ({path, text}: ScriptText): Promise<Issue[]> => checkScript({path, text}),

  compile: ({path, text}: ScriptText): Promise<CompiledScript> => compileScript(path, text),

  async imports({path, text}: ScriptText): Promise<LocatedImport[]> {
    const {program} = await parseScript(path, text);
    return importsOf(program).map(({module, kind, start}) => ({module, kind, ...positionOf(text, start)}));
  },

  async returns({path, text}: ScriptText): Promise<ScriptReturns> {
    const {program} = await parseScript(path, text);
    const returns = topLevelReturns(program).map(({start, argument}) => ({
      line: positionOf(text, start).line,
      type: typeOf(argument),
    }));
    return {form: formOf(program), returns};
  },

  /** Only for a text that `check` finds nothing in. */
  async loadedForm({path, text}: ScriptText): Promise<LoadedForm> {
    const parsed = await parseScript(path, text);
    const {mode} = readScriptOptions(listMagicComments(text));
    const wrapped: {readonly text: string} | null = wrapScript(text, parsed, {
      keepsGlobals: mode === 'worker',
    });
    return {
      form: formOf(parsed.program),
      hasImports: parsed.program.body.some(({type}) => type === 'ImportDeclaration'),
      text: wrapped?.text ?? text,
    };
  },
} as const;

export type InspectionName = keyof typeof inspections;
export type InspectionResult<N extends InspectionName> = Awaited<ReturnType<(typeof inspections)[N]>>;

function formOf(program: Program): ScriptForm {
  const exported = program.body.filter(({type}) => type.startsWith('Export'));
  if (exported.some(({type}) => type === 'ExportDefaultDeclaration')) return 'default_export';
  if (exported.length > 0) return 'method_exports';
  const assigns = program.body.some(
    (node) =>
      node.type === 'ExpressionStatement' &&
      node.expression.type === 'AssignmentExpression' &&
      node.expression.left.type === 'MemberExpression' &&
      node.expression.left.object.type === 'Identifier' &&
      node.expression.left.object.name === 'module',
  );
  return assigns ? 'module_exports' : 'body';
}

type Node = Parameters<typeof visitNodes>[0];
type ReturnNode = Extract<Node, {type: 'ReturnStatement'}>;

function topLevelReturns(program: Program): ReturnNode[] {
  const found: ReturnNode[] = [];
  visitNodes(program, (node) => {
    if (node.type === 'ReturnStatement') found.push(node);
    return !/Function|ClassBody/.test(node.type);
  });
  return found;
}

function typeOf(node: Node | null): string {
  switch (node?.type) {
    case undefined:
      return 'undefined';
    case 'ObjectExpression':
      return 'object';
    case 'ArrayExpression':
      return 'array';
    case 'TemplateLiteral':
      return 'string';
    case 'Literal':
      return node.value === null ? 'null' : typeof node.value;
    case 'NewExpression':
      return node.callee.type === 'Identifier' ? node.callee.name : 'unknown';
    default:
      return 'unknown';
  }
}
