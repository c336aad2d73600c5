import {AppError} from '../schemas/errors.ts';

export type PipePage = 'send' | 'noscript' | 'help' | 'favicon.ico' | 'robots.txt' | 'health' | 'metrics';

/** What a path of the pipe kit stands for. */
export type PipePath =
  | {readonly kind: 'name'; readonly name: string}
  | {readonly kind: 'page'; readonly page: PipePage; readonly path: string; readonly isPrefixed: boolean};

export const kitPrefix = '/api/v1/pipe';
const maxNameLength = 1024;

/** Control characters and backslashes, also where they are percent-encoded. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const forbidden = /[\u0000-\u001f\u007f\\]|%(?:[01][0-9a-f]|7f|5c)/i;

/**
 * Reads a path as it was sent, with or without the prefix of the kit. In a name `%2F` is a slash, since the public
 * client sends it; other escapes stay and differ from what they stand for. Throws PIPE_NAME_INVALID or
 * PIPE_NAME_TOO_LONG.
 */
export function readPipePath(sent: string): PipePath {
  const isPrefixed = hasKitPrefix(sent);
  const path = isPrefixed ? sent.slice(kitPrefix.length) || '/' : sent;
  const page = pageOf(path);
  if (page !== null) return {kind: 'page', page, path, isPrefixed};
  const name = path.slice(1);
  if (name.length > maxNameLength)
    throw new AppError('PIPE_NAME_TOO_LONG', `Path too long (max ${maxNameLength} characters).`);
  if (forbidden.test(name))
    throw new AppError('PIPE_NAME_INVALID', 'A path holds no control characters and no backslashes.');
  return {kind: 'name', name: name.replace(/%[0-9a-f]{2}/gi, (code) => decoded(code.toUpperCase()))};
}

export function hasKitPrefix(path: string): boolean {
  return path === kitPrefix || path.startsWith(`${kitPrefix}/`);
}

function decoded(code: string): string {
  return code === '%2F' ? '/' : code;
}

const pages: readonly PipePage[] = ['noscript', 'help', 'favicon.ico', 'robots.txt', 'health', 'metrics'];

function pageOf(path: string): PipePage | null {
  const wanted = path.slice(1).replace(/[/.]$/, '').toLowerCase();
  return wanted === '' ? 'send' : (pages.find((page) => page === wanted) ?? null);
}
