import {resolve} from 'node:path';
import {AppError} from '../../schemas/errors.ts';

export type RepositoryAddress = LocalAddress | RemoteAddress;

export interface LocalAddress {
  readonly kind: 'local';
  /** Absolute path. */
  readonly path: string;
}

export interface RemoteAddress {
  readonly kind: 'remote';
  /** As given, credentials included. Never shown. */
  readonly url: string;
  /** What people see, what git is called with and what keys are made from: no credentials. */
  readonly display: string;
  /** What an http or https URL carried before its `@`, decoded; null when there is nothing secret. */
  readonly credentials: Credentials | null;
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Transports git may use. Everything else (`ext::`, `fd::`, helpers found in PATH) can run commands. */
export const allowedProtocols = ['file', 'http', 'https', 'ssh'] as const;

const withScheme = /^([a-z][a-z0-9+.-]*):\/\//i;
const withHelper = /^[a-z0-9]+::/i;
/** `user@host:path`: a colon before the first slash. */
const scpLike = /^(?:([^@/:]+)@)?(\[[0-9a-f:]+\]|[^/:@]+):(.+)$/i;

/**
 * Tells a path from a URL the way git does. Relative paths start at the working directory.
 * Throws AppError CONFIG_INVALID for text that is neither, or for a transport that is not allowed.
 */
export function parseRepository(text: string): RepositoryAddress {
  if (text === '') throw invalid('The repository is empty', text);
  if ([...text].some(isControlCharacter)) throw invalid('The repository holds a control character', text);
  if (text.startsWith('-'))
    throw invalid('The repository starts with "-", which git reads as an option', text);
  const scheme = withScheme.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined) return parseUrl(text, scheme);
  if (withHelper.test(text)) throw invalid('The transport is not allowed', text);
  const scp = scpLike.exec(text);
  if (scp !== null) return parseScpLike(text, scp[2] ?? '');
  return {kind: 'local', path: resolve(text)};
}

/** Replaces every form in which a URL's credentials can turn up in a text. */
export function maskCredentials(text: string, credentials: Credentials | null): string {
  const anyUrl = text.replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]*:[^\s/@'"]*@/gi, '$1***@');
  return secretForms(credentials).reduce((masked, secret) => masked.replaceAll(secret, '***'), anyUrl);
}

/** Value of an HTTP `Authorization` header. */
export function basicAuthorization({user, password}: Credentials): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function parseUrl(text: string, scheme: string): RemoteAddress {
  if (!(allowedProtocols as readonly string[]).includes(scheme))
    throw invalid('The transport is not allowed', text);
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw invalid('The URL is malformed', text, cause);
  }
  if (scheme !== 'file' && url.hostname === '') throw invalid('The URL names no host', text);
  if (url.hostname.startsWith('-') || decoded(url.username, text).startsWith('-')) {
    throw invalid('The host or user starts with "-", which ssh reads as an option', text);
  }
  if (url.pathname === '' || url.pathname === '/') throw invalid('The URL names no repository', text);
  const isHttp = scheme === 'http' || scheme === 'https';
  const user = decoded(url.username, text);
  const password = decoded(url.password, text);
  const hasSecret = isHttp ? user !== '' || password !== '' : password !== '';
  // The user of an ssh URL is part of the address; a password in one is used by nobody.
  if (isHttp) url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  return {
    kind: 'remote',
    url: text,
    display: url.href.replace(/\/+$/, ''),
    credentials: hasSecret ? {user: isHttp ? user : '', password} : null,
  };
}

function parseScpLike(text: string, host: string): RemoteAddress {
  if (host.startsWith('-')) throw invalid('The host starts with "-", which ssh reads as an option', text);
  return {kind: 'remote', url: text, display: text.replace(/\/+$/, ''), credentials: null};
}

function decoded(part: string, text: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw invalid('The URL holds a broken percent escape', text, cause);
  }
}

function secretForms(credentials: Credentials | null): string[] {
  if (credentials === null) return [];
  const {user, password} = credentials;
  const secrets = [basicAuthorization(credentials), password === '' ? user : password];
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret), encodeURI(secret)]);
  return [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length);
}

function isControlCharacter(character: string): boolean {
  return character < ' ' || character === '\u007f';
}

function invalid(problem: string, text: string, cause?: unknown): AppError {
  const shown = [...text.replace(/\/\/[^/]*@/, '//***@').slice(0, 200)]
    .map((character) => (isControlCharacter(character) ? '?' : character))
    .join('');
  return new AppError(
    'CONFIG_INVALID',
    `${problem}: "${shown}". Write a path, or a URL that starts with https://, ssh://, http:// or file://, or user@host:path.`,
    {cause},
  );
}
