import type {ParsedScript} from '../platform/script-parser.ts';
import {globalNames} from './fresh-globals.ts';

/** What a script body finds of its call without importing it. */
const injectedNames = [
  'req',
  'res',
  'metadata',
  'shared',
  'console',
  'require',
  'module',
  'exports',
  '__filename',
  '__dirname',
  'crypto',
  'mainResult',
  'ws',
] as const;

export interface WrappedScript {
  readonly text: string;
  /** How far line 1 moved to the right; every other line keeps its columns, and all keep their numbers. */
  readonly firstLineShift: number;
}

/** Exported by a wrapped script, so that the host knows a body from a module's own default export. */
export const bodyExport = '__branchtabBody';

/**
 * Null for a script with exports: it is a module and stays as it is. Any other is a body that runs once a call: its
 * imports move to line 1 and the rest becomes an async function, in place, so that errors point at the author's lines.
 * Unless it `keepsGlobals` it is given a global object of its call, where it speaks of one.
 */
export function wrapScript(
  text: string,
  {program}: Pick<ParsedScript, 'program'>,
  {keepsGlobals}: {keepsGlobals: boolean},
): WrappedScript | null {
  if (program.body.some(isExport)) return null;
  const imports = program.body.filter(({type}) => type === 'ImportDeclaration');
  const hoisted = imports.map(({start, end}) => onOneLine(text.slice(start, end))).join('');
  const body = imports.reduceRight(
    (rest, {start, end}) => rest.slice(0, start) + blank(rest.slice(start, end)) + rest.slice(end),
    text,
  );
  const globals = keepsGlobals ? [] : globalNames;
  // What a body only reaches by `eval` is global.
  const free = [...injectedNames, ...globals].filter(
    (name) => new RegExp(`\\b${name}\\b`).test(text) && !declares(imports, name),
  );
  const prefix = `${hoisted}export const ${bodyExport}=async function({${free.join(',')}}){{`;
  // A hashbang is only allowed as the first characters of a file.
  const plainBody = body.startsWith('#!') ? `//${body.slice(2)}` : body;
  return {text: `${prefix}${plainBody}\n}}`, firstLineShift: prefix.length};
}

function isExport({type}: ParsedScript['program']['body'][number]): boolean {
  return type.startsWith('Export') || type.startsWith('TSExport');
}

/** The author's import of a name wins over the injected one. */
function declares(imports: readonly ParsedScript['program']['body'][number][], name: string): boolean {
  return imports.some(
    (node) => node.type === 'ImportDeclaration' && node.specifiers.some(({local}) => local.name === name),
  );
}

function onOneLine(statement: string): string {
  // Line comments would swallow what follows once the newlines are gone.
  const flat = statement.replace(/\/\/[^\n]*(?=\n)/g, '').replace(/\s*\n\s*/g, ' ');
  return flat.endsWith(';') ? flat : `${flat};`;
}

/** An empty statement of the same extent: without it what stands before and after could become one statement. */
function blank(text: string): string {
  return `;${text.slice(1).replace(/[^\n]/g, ' ')}`;
}
