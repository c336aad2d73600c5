import {AppError} from '../../schemas/errors.ts';

export type ListenAddress =
  | {readonly kind: 'tcp'; readonly host: string; readonly port: number}
  | {readonly kind: 'unix'; readonly path: string};

/** `host:port`, `[v6]:port` or `unix:<path>`. Throws AppError CONFIG_INVALID. */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix:') && text.length > 'unix:'.length)
    return {kind: 'unix', path: text.slice('unix:'.length)};
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new AppError(
      'CONFIG_INVALID',
      `"${text}" is not an address. Write host:port, for example 127.0.0.1:7071, or unix:/path.`,
    );
  }
  return {kind: 'tcp', host, port};
}
