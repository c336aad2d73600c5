import {createRequire} from 'node:module';
import {join} from 'node:path';
import type {CallNames} from './call-names.ts';
import type {FreshGlobals} from './fresh-globals.ts';

/**
 * What a body is given, made when it asks: it takes those out that its text mentions. Beside the names of the call they
 * are those of a CommonJS module, without `__filename` and `__dirname`.
 */
export class BodyNames {
  readonly module: {exports: unknown} = {exports: {}};
  readonly #names: CallNames;
  readonly #globals: FreshGlobals;
  readonly #directory: string;
  readonly #file: string;

  constructor(options: {names: CallNames; globals: FreshGlobals; directory: string; file: string}) {
    this.#names = options.names;
    this.#globals = options.globals;
    this.#directory = options.directory;
    this.#file = options.file;
  }

  get req(): unknown {
    return this.#names.req;
  }
  get res(): unknown {
    return this.#names.res;
  }
  get metadata(): unknown {
    return this.#names.metadata;
  }
  get shared(): unknown {
    return this.#names.shared;
  }
  get ws(): unknown {
    return this.#names.ws;
  }
  get mainResult(): unknown {
    return this.#names.mainResult;
  }
  get console(): Console {
    return console;
  }
  get exports(): unknown {
    return this.module.exports;
  }
  get require(): NodeJS.Require {
    return createRequire(join(this.#directory, this.#file));
  }
  /** Here only: as a global it would replace the web's `crypto`, which others use. */
  get crypto(): unknown {
    return process.getBuiltinModule('node:crypto');
  }
  get globalThis(): object {
    return this.#globals.present();
  }
  get global(): object {
    return this.#globals.present();
  }
  get self(): object {
    return this.#globals.present();
  }
}
