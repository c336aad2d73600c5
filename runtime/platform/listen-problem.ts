import {AppError} from '../../schemas/errors.ts';
import {isErrno} from './durable-file.ts';
import type {ListenAddress} from './listen-address.ts';

/** Why an address cannot be listened on, for whoever chose it: ADDRESS_IN_USE or CONFIG_INVALID. */
export function listenProblem(address: ListenAddress, error: unknown): AppError {
  const place = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
  if (isErrno(error, 'EADDRINUSE')) {
    return new AppError(
      'ADDRESS_IN_USE',
      `${place} is taken. Stop what listens there or choose another --listen.`,
      {cause: error},
    );
  }
  return new AppError(
    'CONFIG_INVALID',
    `Nothing can listen on ${place}: ${error instanceof Error ? error.message : String(error)}. Choose another --listen.`,
    {cause: error},
  );
}
