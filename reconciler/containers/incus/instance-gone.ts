import {AppError} from '../../../schemas/errors.ts';
import type {IncusRecord} from './incus-record.ts';

export function instanceGone({name, instance}: IncusRecord): AppError {
  return new AppError(
    'DATA_LOST',
    `The instance ${instance} of ${name} is gone from the Incus server, with all its files. \`branchtab data restore\` brings a branch's data back from their backup.`,
  );
}
