interface ErrorEntry {
  /** HTTP status that `api/errors.ts` answers with. */
  readonly status: number;
  /** True where the same request may succeed later without being changed. */
  readonly retryable: boolean;
  readonly meaning: string;
}

/** Every machine code the product can answer. Texts may change, codes may not. */
export const errorCatalogue = {
  // cron kit, contracts/cron.md section 4
  INVALID_USER: {status: 400, retryable: false, meaning: 'The user name is not a valid one.'},
  INVALID_ID: {
    status: 400,
    retryable: false,
    meaning: 'The id is neither a UUID nor an unambiguous prefix of one.',
  },
  INVALID_SCHEDULE: {
    status: 400,
    retryable: false,
    meaning: 'Not a five-field crontab(5) schedule nor an @ macro.',
  },
  INVALID_COMMAND: {
    status: 400,
    retryable: false,
    meaning: 'The command is empty, too long or holds a forbidden character.',
  },
  INVALID_NAME: {
    status: 400,
    retryable: false,
    meaning: 'The name is empty, too long or holds a forbidden character.',
  },
  INVALID_COMMENT: {
    status: 400,
    retryable: false,
    meaning: 'The comment is empty, too long or holds a forbidden character.',
  },
  INVALID_EXPIRES_AT: {status: 400, retryable: false, meaning: 'expires_at is not an RFC 3339 timestamp.'},
  INVALID_RUN_AT: {
    status: 400,
    retryable: false,
    meaning: 'run_at is not an RFC 3339 timestamp in the future, or stands beside a schedule.',
  },
  EXPIRES_IN_PAST: {status: 400, retryable: false, meaning: 'expires_at is not in the future.'},
  INVALID_PAGINATION: {status: 400, retryable: false, meaning: 'page, limit or cursor is out of range.'},
  INVALID_CRONTAB: {
    status: 400,
    retryable: false,
    meaning: 'A line of the crontab is not valid; nothing was written.',
  },
  INVALID_JSON: {status: 400, retryable: false, meaning: 'The body is not JSON.'},
  INVALID_BODY: {
    status: 400,
    retryable: false,
    meaning: 'The body lacks a field or has one of the wrong type.',
  },
  INVALID_QUERY: {status: 400, retryable: false, meaning: 'A query parameter is not valid.'},
  USER_NOT_FOUND: {status: 404, retryable: false, meaning: 'No such user in this container.'},
  ENTRY_NOT_FOUND: {status: 404, retryable: false, meaning: 'No such entry; it may have expired.'},
  RUN_NOT_FOUND: {status: 404, retryable: false, meaning: 'No such run record.'},
  PRECONDITION_FAILED: {
    status: 412,
    retryable: true,
    meaning: 'The text or value is not what the condition of the request names.',
  },
  PAYLOAD_TOO_LARGE: {status: 413, retryable: false, meaning: 'The body is larger than the limit.'},
  UNSUPPORTED_MEDIA_TYPE: {status: 415, retryable: false, meaning: 'The content type is not accepted here.'},
  BACKEND_ERROR: {
    status: 500,
    retryable: true,
    meaning: 'The service could not do its work; see the message.',
  },
  STORAGE_FULL: {status: 507, retryable: true, meaning: 'The disk is full; nothing was changed.'},

  // exec kit
  SCRIPT_NOT_FOUND: {status: 404, retryable: false, meaning: 'No script at this path.'},
  SCRIPT_INVALID: {status: 400, retryable: false, meaning: 'The script does not parse.'},
  SCRIPT_EXISTS: {status: 409, retryable: false, meaning: 'A script with this path exists already.'},
  SCRIPT_FAILED: {status: 500, retryable: false, meaning: 'The script threw an error.'},
  SCRIPT_TIMEOUT: {status: 504, retryable: false, meaning: 'The script did not answer within its time.'},
  SCRIPT_HOST_FAILED: {status: 503, retryable: true, meaning: 'The script host ended during the call.'},
  DEPENDENCIES_FAILED: {
    status: 422,
    retryable: true,
    meaning: 'The packages that a lock file pins could not be installed; the former scripts stay.',
  },
  LOG_NOT_FOUND: {status: 404, retryable: false, meaning: 'No log with this name.'},
  SCHEDULE_NOT_FOUND: {status: 404, retryable: false, meaning: 'The script has no schedule of its own.'},
  VERSION_NOT_FOUND: {
    status: 404,
    retryable: false,
    meaning: 'The scripts of this commit or digest are not kept in this container.',
  },
  SCRIPT_TOKEN_REQUIRED: {
    status: 401,
    retryable: false,
    meaning: 'The script asks for a token, and none or another one was sent.',
  },
  SCRIPT_NOT_UPGRADABLE: {
    status: 426,
    retryable: false,
    meaning: 'The path is that of a websocket script.',
  },
  EXECUTION_NOT_FOUND: {status: 404, retryable: false, meaning: 'No record of this call; it may be too old.'},
  PATH_EXCLUDED: {status: 403, retryable: false, meaning: 'The path is excluded from access.'},
  CONFIRM_REQUIRED: {
    status: 400,
    retryable: false,
    meaning: 'The request destroys data and must be confirmed.',
  },

  // notifications kit
  RATE_LIMITED: {
    status: 429,
    retryable: true,
    meaning: 'Too much was asked for in a short time; Retry-After says when to come back.',
  },
  TOO_MANY_INBOXES: {
    status: 409,
    retryable: false,
    meaning: 'A further inbox would be one too many.',
  },
  // sqlite and files kits
  FILE_NOT_FOUND: {status: 404, retryable: false, meaning: 'No file or directory at this path.'},
  FILE_NOT_PLAIN: {
    status: 409,
    retryable: false,
    meaning: 'The path is of another kind than the request needs: a directory, a link, a socket.',
  },
  RANGE_NOT_SATISFIABLE: {
    status: 416,
    retryable: false,
    meaning: 'The range lies behind the end of the file.',
  },
  DATABASE_NOT_FOUND: {status: 404, retryable: false, meaning: 'No database with this name.'},
  KEY_NOT_FOUND: {
    status: 404,
    retryable: false,
    meaning: 'No such key, or nothing at this place of its value.',
  },
  VALUE_UNSUITABLE: {
    status: 409,
    retryable: false,
    meaning: 'The value under the key is of another kind than the request needs; it was not changed.',
  },
  SQL_FAILED: {status: 400, retryable: false, meaning: 'SQLite refused the statement; nothing was changed.'},
  SQL_REFUSED: {
    status: 403,
    retryable: false,
    meaning: 'The statement reaches beyond its database or its transaction; nothing was run.',
  },
  SQL_TIMEOUT: {status: 504, retryable: false, meaning: 'The statement took too long and was ended.'},
  DATABASE_BUSY: {status: 409, retryable: true, meaning: 'Another writer holds the database.'},
  // pipe kit, contracts/pipe.md section 5
  PIPE_NAME_INVALID: {
    status: 400,
    retryable: false,
    meaning: 'The name of the pipe holds a forbidden character.',
  },
  PIPE_NAME_RESERVED: {
    status: 400,
    retryable: false,
    meaning: 'The name belongs to a page; nothing can be sent to it.',
  },
  PIPE_NAME_TOO_LONG: {
    status: 414,
    retryable: false,
    meaning: 'The name of the pipe is longer than 1024 characters.',
  },
  PIPE_PARAMETER_INVALID: {
    status: 400,
    retryable: false,
    meaning: 'A parameter of the pipe is out of range or does not go with another.',
  },
  PIPE_REQUEST_REFUSED: {
    status: 400,
    retryable: false,
    meaning: 'A request of this kind is never taken by a pipe.',
  },
  PIPE_RECEIVERS_DIFFER: {
    status: 400,
    retryable: false,
    meaning: 'The others on this name wait for another number of receivers.',
  },
  PIPE_OCCUPIED: {
    status: 400,
    retryable: true,
    meaning: 'The name has its sender or all its receivers already.',
  },
  PIPE_KEY_WRONG: {
    status: 403,
    retryable: false,
    meaning: 'The name is protected by a key, and this is not it.',
  },
  PIPE_TRANSFER_UNKNOWN: {
    status: 404,
    retryable: false,
    meaning: 'No transfer with this id runs or ended lately.',
  },
  PIPE_TIMED_OUT: {
    status: 408,
    retryable: true,
    meaning: 'The other side did not come within the waiting time.',
  },
  PIPE_TRANSFER_ID_IN_USE: {status: 409, retryable: false, meaning: 'Another transfer has this id.'},
  PIPE_KIND_DIFFERS: {status: 409, retryable: false, meaning: 'One side is live and the other is not.'},
  PIPE_UPGRADE_REQUIRED: {
    status: 426,
    retryable: false,
    meaning: 'A websocket was asked for without an upgrade.',
  },
  PIPE_CAPACITY: {
    status: 429,
    retryable: true,
    meaning: 'Too many pipes, receivers or spectators at the same time.',
  },
  PIPE_PART_MISSING: {
    status: 500,
    retryable: false,
    meaning: 'The multipart body of the sender holds nothing that can be sent.',
  },

  // controller's socket of a runtime
  WORKSPACE_BASE_MISMATCH: {
    status: 409,
    retryable: true,
    meaning: 'The workspace is not at the base the change set starts from.',
  },
  BLOBS_MISSING: {
    status: 409,
    retryable: true,
    meaning: 'The deployment names contents the runtime does not have.',
  },

  // controller
  BRANCH_NOT_FOUND: {status: 404, retryable: false, meaning: 'No branch with this key or name is known.'},
  BRANCH_AMBIGUOUS: {
    status: 409,
    retryable: false,
    meaning: 'More than one branch has this name; use the key.',
  },
  NOT_SUSPENDED: {status: 409, retryable: false, meaning: 'The branch is not suspended.'},
  SUSPENDED_BY_POLICY: {
    status: 409,
    retryable: false,
    meaning: 'The configuration suspends the branch; no request ends that.',
  },
  NOTHING_KEPT: {status: 409, retryable: false, meaning: 'Changes by hand are not kept there.'},
  NOTHING_TO_ROLL_BACK: {
    status: 409,
    retryable: false,
    meaning: 'There is no older commit that the branch could run.',
  },
  REVISION_NOT_FOUND: {status: 404, retryable: false, meaning: 'The repository has no such commit.'},
  REPOSITORY_NOT_FOUND: {status: 404, retryable: false, meaning: 'No repository with this name is watched.'},
  CONTAINER_NOT_FOUND: {status: 404, retryable: false, meaning: 'No container with this id exists.'},
  CONTAINER_OF_BRANCH: {
    status: 409,
    retryable: false,
    meaning: 'The container belongs to a branch and goes with it.',
  },
  NAME_TAKEN: {status: 409, retryable: false, meaning: 'Another container has this name.'},
  CONTAINER_UNAVAILABLE: {status: 503, retryable: true, meaning: 'The container does not answer right now.'},
  SNAPSHOT_NOT_FOUND: {status: 404, retryable: false, meaning: 'No snapshot with this name exists.'},
  READ_ONLY: {status: 409, retryable: false, meaning: 'The repository belongs to another controller.'},
  CONFIRMATION_NEEDED: {
    status: 409,
    retryable: false,
    meaning: 'A person must agree first, at a terminal or with --yes.',
  },
  BRANCH_PAUSED: {status: 409, retryable: false, meaning: 'The branch is paused as a whole.'},
  BRANCH_PRESENT: {status: 409, retryable: false, meaning: 'The branch is still in its repository.'},
  LIMIT_REACHED: {status: 409, retryable: false, meaning: 'A limit of the operator does not allow one more.'},
  HOST_FULL: {status: 503, retryable: true, meaning: 'The host has too little disk or memory left.'},
  DATA_LOST: {
    status: 409,
    retryable: false,
    meaning: 'The data directory of the branch is gone; a person must say what becomes of it.',
  },
  BACKUP_NOT_FOUND: {status: 404, retryable: false, meaning: 'No backup with this id exists.'},
  SHELL_NOT_FOUND: {
    status: 404,
    retryable: false,
    meaning: 'No shell with this id is open in the container.',
  },
  DELIVERY_NOT_FOUND: {status: 404, retryable: false, meaning: 'No webhook delivery with this id is known.'},
  HOOK_FOREIGN: {
    status: 409,
    retryable: false,
    meaning: 'A hook of the repository is not ours and is left alone.',
  },
  HOOK_CLOSED: {status: 404, retryable: false, meaning: 'No secret is configured for this webhook.'},
  SIGNATURE_INVALID: {
    status: 401,
    retryable: false,
    meaning: 'The signature or token of a webhook is missing or wrong.',
  },
  FORGE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    meaning: 'GitHub does not answer, or not as it should.',
  },
  FORGE_REFUSED: {status: 502, retryable: false, meaning: 'GitHub refuses what was asked of it.'},
  PULL_REQUEST_IMPOSSIBLE: {
    status: 409,
    retryable: false,
    meaning:
      'No pull request can be opened for the branch: GitHub is not configured for it, or it is of a fork.',
  },
  SECRET_EXPOSED: {
    status: 409,
    retryable: false,
    meaning: 'What would be published holds the value of a secret.',
  },
  TOKEN_NOT_FOUND: {status: 404, retryable: false, meaning: 'No token with this id exists.'},
  SEED_FAILED: {status: 500, retryable: true, meaning: 'The file that fills a new data directory failed.'},
  NOTHING_TO_RESTORE: {status: 409, retryable: false, meaning: 'There is nothing to bring back.'},
  CONFIG_INVALID: {status: 400, retryable: false, meaning: 'branchtab.yaml or a flag is not valid.'},
  CONTENT_REFUSED: {
    status: 400,
    retryable: false,
    meaning: 'A commit holds something that is never written to a container; push one without it.',
  },
  SECRET_UNAVAILABLE: {
    status: 503,
    retryable: true,
    meaning: 'A secret of the configuration cannot be read.',
  },
  REPOSITORY_UNREADABLE: {status: 503, retryable: true, meaning: 'The repository cannot be read.'},
  STATE_LOCKED: {status: 409, retryable: true, meaning: 'Another controller owns the state directory.'},
  STATE_UNREADABLE: {
    status: 500,
    retryable: false,
    meaning: 'A file of the state directory cannot be read or written.',
  },
  ADDRESS_IN_USE: {status: 409, retryable: true, meaning: 'The address to listen on is taken.'},
  PROVIDER_UNAVAILABLE: {status: 503, retryable: true, meaning: 'The container provider cannot do its work.'},
  IMAGE_UNUSABLE: {
    status: 409,
    retryable: false,
    meaning: 'No container can be made from this image: it is not there, or has no glibc.',
  },
  SANDBOX_REQUIRED: {
    status: 409,
    retryable: false,
    meaning: 'A remote repository needs a sandbox or an explicit trust flag.',
  },
  UNSUPPORTED_PLATFORM: {status: 501, retryable: false, meaning: 'This platform is not supported.'},
  CONTROLLER_UNREACHABLE: {status: 503, retryable: true, meaning: 'No controller answers.'},

  // every HTTP listener
  UNAUTHENTICATED: {status: 401, retryable: false, meaning: 'A token is needed and is missing or wrong.'},
  FORBIDDEN: {status: 403, retryable: false, meaning: 'The caller may not do this.'},
  NOT_FOUND: {status: 404, retryable: false, meaning: 'No such route.'},
  MALFORMED_REQUEST: {status: 400, retryable: false, meaning: 'The request is not HTTP/1.1.'},
  REQUEST_TIMED_OUT: {status: 408, retryable: true, meaning: 'The head of the request did not come in time.'},
  EXPECTATION_FAILED: {
    status: 417,
    retryable: false,
    meaning: 'The Expect header asks for something unknown.',
  },
  HEAD_TOO_LARGE: {status: 431, retryable: false, meaning: 'The head of the request is too large.'},
  METHOD_NOT_ALLOWED: {status: 405, retryable: false, meaning: 'The route does not take this method.'},
  MISDIRECTED_HOST: {
    status: 421,
    retryable: false,
    meaning: 'The Host header names a host this listener does not serve.',
  },
  NOT_IMPLEMENTED: {status: 501, retryable: false, meaning: 'This part of the API does not exist here.'},
  SHUTTING_DOWN: {status: 503, retryable: true, meaning: 'The service is stopping.'},
  INTERNAL_ERROR: {status: 500, retryable: false, meaning: 'A bug; the log has the stack.'},
} as const satisfies Record<string, ErrorEntry>;

/** Statuses of success that more than the API speaks of. */
export const successStatus = {ok: 200, accepted: 202, noContent: 204} as const;

/** Counted of a call whose caller left before the answer began; nobody is sent it. */
export const callerLeftStatus = 499;

/** Below it an answer is followed by the real one. */
export const firstFinalStatus = 200;
/** RFC 9110: such an answer has no body, whatever its headers say. */
export const bodylessStatuses: readonly number[] = [204, 304];

export type ErrorCode = keyof typeof errorCatalogue;

/** Body of every error answer. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: unknown;
}

/** The one error class that crosses module borders. `details` is JSON and goes out on the wire. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: unknown;
  /** When the same request may succeed, where that is known; the `Retry-After` of the answer. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: ErrorCode,
    message: string,
    options: {details?: unknown; cause?: unknown; retryAfterSeconds?: number} = {},
  ) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause});
    this.name = 'AppError';
    this.code = code;
    this.details = options.details ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }

  /** True where nothing in the request was wrong. */
  get isServerFault(): boolean {
    return this.status >= 500;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }

  toBody(): ErrorBody {
    return {code: this.code, message: this.message, details: this.details};
  }
}

/** True for what the file system or SQLite says of a full disk or an exhausted quota. */
export function isStorageFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL';
}
