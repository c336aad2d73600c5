import * as z from 'zod';
import {AppError} from '../../schemas/errors.ts';
import {lazily} from '../platform/lazily.ts';

/**
 * Body of `POST /api/v1/control/workspace`, every line ending in LF:
 *
 *   {"base": "<tree>"|null, "target": "<tree>"}
 *   {"path": "a/b", "kind": "file"|"executable"|"symlink", "size": 12}   and right after it 12 bytes
 *   {"path": "a/c", "kind": "delete"}
 *   {"end": true}
 *
 * `base` is the tree that the workspace is at, or null: then the changes are the whole tree, and tracked files
 * that they do not name are removed. Without the last line the body was cut, and nothing is applied.
 */
// Schemas are large, and many containers wait for weeks between two change sets.
const headerSchema = lazily(() =>
  z.object({
    base: z.string().min(1).max(64).nullable(),
    target: z.string().min(1).max(64),
  }),
);
export type ChangeSetHeader = z.infer<ReturnType<typeof headerSchema>>;

const lineSchema = lazily(() =>
  z.union([
    z.object({end: z.literal(true)}),
    z.discriminatedUnion('kind', [
      z.object({
        path: z.string(),
        kind: z.enum(['file', 'executable', 'symlink']),
        size: z.int().min(0),
      }),
      z.object({path: z.string(), kind: z.literal('delete')}),
    ]),
  ]),
);
export type Change = Exclude<z.infer<ReturnType<typeof lineSchema>>, {end: true}>;
export type Write = Exclude<Change, {kind: 'delete'}>;

export const maxLineBytes = 64 * 1024;
export const maxChanges = 1_000_000;
/** Linux takes paths of 4095 bytes; the rest is for the directory that the workspace is in. */
const maxPathBytes = 3584;
const maxNameBytes = 255;
const maxSymlinkBytes = 4095;

/** Names of directories in which writes wait; no tree may use them. */
export const stagingPrefix = '.branchtab-staging-';

/** Throws AppError INVALID_JSON or INVALID_BODY, as the other functions here do. */
export function parseHeader(line: string): ChangeSetHeader {
  return headerSchema().parse(parseJson(line));
}

/** The change of a line, or null for the last line. */
export function parseChange(line: string): Change | null {
  const parsed = lineSchema().parse(parseJson(line));
  if ('end' in parsed) return null;
  checkPath(parsed.path);
  if (parsed.kind === 'symlink' && (parsed.size === 0 || parsed.size > maxSymlinkBytes)) {
    throw invalid(parsed.path, `is a symlink with a target of ${parsed.size} bytes`);
  }
  return parsed;
}

/** Refuses sets that no git tree can mean: a path named twice, a file below a file. */
export function checkTogether(changes: readonly Change[]): void {
  const seen = new Set<string>();
  for (const {path} of changes) {
    if (seen.has(path)) throw invalid(path, 'occurs twice');
    seen.add(path);
  }
  const written = new Set(changes.filter(({kind}) => kind !== 'delete').map(({path}) => path));
  for (const path of written) {
    const parent = parentsOf(path).find((candidate) => written.has(candidate));
    if (parent !== undefined) throw invalid(path, `lies below "${parent}", which is no directory`);
  }
}

/** `a/b/c` -> [`a`, `a/b`]. */
export function parentsOf(path: string): string[] {
  const names = path.split('/');
  return names.slice(0, -1).map((_, index) => names.slice(0, index + 1).join('/'));
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new AppError('INVALID_JSON', 'A line of the change set is not JSON. Nothing was changed.', {
      cause: error,
    });
  }
}

function checkPath(path: string): void {
  if (Buffer.byteLength(path) > maxPathBytes)
    throw invalid(`${path.slice(0, 100)}...`, `is longer than ${maxPathBytes} bytes`);
  if (path.includes('\0')) throw invalid(path, 'holds a NUL');
  const names = path.split('/');
  if (names.some((name) => Buffer.byteLength(name) > maxNameBytes))
    throw invalid(`${path.slice(0, 100)}...`, `has a name longer than ${maxNameBytes} bytes`);
  if (names.some((name) => name === '' || name === '.' || name === '..'))
    throw invalid(path, 'is not a plain relative path');
  if (names.some((name) => name.toLowerCase() === '.git')) throw invalid(path, 'has a .git component');
  if (names[0]?.startsWith(stagingPrefix)) throw invalid(path, "is a name of the runtime's own");
}

/** Throws AppError INVALID_BODY for a target that no link can have. */
export function checkLinkTarget(path: string, target: Uint8Array): void {
  if (target.includes(0)) throw invalid(path, 'is a symlink with a NUL in its target');
}

function invalid(path: string, what: string): AppError {
  return new AppError(
    'INVALID_BODY',
    `Path ${JSON.stringify(path)} of the change set ${what}. Nothing was changed.`,
  );
}
