import {isBuiltin} from 'node:module';
import type {Node, Program} from 'oxc-parser';
import type {
  DependencyReport,
  MagicCommentReport,
  ReturnReport,
  SyntaxReport,
  ValidateRequest,
  ValidationReport,
} from '../../schemas/exec-management.ts';
import {magicCommentProblem} from '../../schemas/magic-comments.ts';
import {checkScript, positionOf} from '../platform/script-check.ts';
import {importsOf} from '../platform/script-imports.ts';
import {visitNodes} from '../platform/script-nodes.ts';
import {parseScript} from '../platform/script-parser.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import {wrapScript} from './wrap.ts';

const untitled = 'script.ts';

/** Whether a text would load, without running it. `validate*` never throw for what is in the text. */
export async function validateSyntax({code, path = untitled}: ValidateRequest): Promise<SyntaxReport> {
  const errors = await checkScript({path, text: code});
  return {valid: errors.length === 0, errors};
}

/** A package counts as available where `hasPackage` says so; a neighbour where `hasFile` does. */
export async function validateDependencies(
  {code, path = untitled}: ValidateRequest,
  known: {hasPackage: (name: string) => boolean; hasFile: (specifier: string, from: string) => boolean},
): Promise<DependencyReport> {
  const {program} = await parseScript(path, code);
  const dependencies = importsOf(program).map(({module, kind, start}) => {
    const {line} = positionOf(code, start);
    if (isBuiltin(module) || module === 'bun' || module.startsWith('bun:'))
      return {module, kind, line, source: 'builtin' as const, available: true};
    if (module.startsWith('.'))
      return {module, kind, line, source: 'file' as const, available: known.hasFile(module, path)};
    return {module, kind, line, source: 'package' as const, available: known.hasPackage(packageOf(module))};
  });
  const missing = dependencies.filter(({available}) => !available).map(({module}) => module);
  // A missing one may be installed, or written next: it is no reason to refuse the script.
  return {valid: true, dependencies, missing: [...new Set(missing)]};
}

export function validateMagicComments({code}: ValidateRequest): MagicCommentReport {
  const comments = readMagicComments(code);
  const warnings = Object.entries(comments).flatMap(
    ([name, value]) => magicCommentProblem(name, value) ?? [],
  );
  return {valid: true, magicComments: redactMagicComments(comments), warnings};
}

/** What a script answers with, as far as its text tells. */
export async function validateReturnType({code, path = untitled}: ValidateRequest): Promise<ReturnReport> {
  const {program} = await parseScript(path, code);
  const returns = topLevelReturns(program).map(({start, argument}) => ({
    line: positionOf(code, start).line,
    type: typeOf(argument),
  }));
  const form = formOf(program);
  return {valid: true, form, returns, returnType: summary(form, returns)};
}

export async function validateScript(
  request: ValidateRequest,
  known: Parameters<typeof validateDependencies>[1],
): Promise<ValidationReport> {
  const {code, path = untitled} = request;
  const syntax = await validateSyntax(request);
  const comments = validateMagicComments(request);
  const parsed = await parseScript(path, code);
  const form = formOf(parsed.program);
  return {
    valid: syntax.valid,
    results: {
      syntax,
      typescript: {valid: syntax.valid, errors: syntax.errors},
      dependencies: await validateDependencies(request, known),
      magicComments: comments.magicComments,
      magicCommentWarnings: comments.warnings,
      normalized: syntax.valid ? wrapScript(code, parsed).text : null,
      transformations: syntax.valid ? transformationsOf(form, parsed.program) : [],
    },
    message: syntax.valid ? 'Script is valid' : 'Script validation failed',
  };
}

type Form = ReturnReport['form'];

function formOf(program: Program): Form {
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

function transformationsOf(form: Form, program: Program): string[] {
  if (form === 'default_export' || form === 'method_exports') return [];
  const imports = program.body.some(({type}) => type === 'ImportDeclaration');
  return [...(imports ? ['imports_hoisted'] : []), 'body_wrapped'];
}

function topLevelReturns(program: Program): Extract<Node, {type: 'ReturnStatement'}>[] {
  const found: Extract<Node, {type: 'ReturnStatement'}>[] = [];
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
    case 'AwaitExpression':
    case 'ParenthesizedExpression':
      return typeOf('argument' in node ? node.argument : node.expression);
    case 'NewExpression':
      return node.callee.type === 'Identifier' ? node.callee.name : 'unknown';
    default:
      return 'unknown';
  }
}

function summary(form: Form, returns: readonly {type: string}[]): string {
  if (form !== 'body') return 'handler';
  const types = [...new Set(returns.map(({type}) => type))];
  return types.length === 0 ? 'undefined' : types.sort().join(' | ');
}

/** `@scope/name/part` belongs to the package `@scope/name`. */
function packageOf(module: string): string {
  return module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/');
}
