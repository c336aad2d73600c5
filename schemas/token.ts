import * as z from 'zod';
import {userNamePattern} from './user-name.ts';

export const tokenSchema = z
  .object({
    id: z.string().meta({example: 'tok_5f0c2b9e'}),
    user: z.string().meta({description: 'Whose crontabs it opens.'}),
    created_at: z.string(),
  })
  .meta({id: 'Token'});
export type TokenView = z.infer<typeof tokenSchema>;

export const tokenListSchema = z.object({items: z.array(tokenSchema)}).meta({id: 'TokenList'});

export const createTokenSchema = z
  .strictObject({user: z.string().regex(userNamePattern)})
  .meta({id: 'CreateToken'});

export const createdTokenSchema = tokenSchema
  .extend({token: z.string().meta({description: 'Shown this once; only its hash is kept.'})})
  .meta({id: 'CreatedToken'});
export type CreatedToken = z.infer<typeof createdTokenSchema>;
