// The service's plain answers: what it serves, its samples, whether it is ready. Knows the token, where one is needed.

const TOKEN_KEY = "egoreact-token";

/** The service wants a token, or another one. */
export class TokenWanted extends Error {}

/** The service is away, or has no good answer. */
export class Unanswered extends Error {}

/** The token lives as long as the tab does. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN_KEY),
  set: (value) => sessionStorage.setItem(TOKEN_KEY, value),
  forget: () => sessionStorage.removeItem(TOKEN_KEY),
};

async function get(path) {
  const bearer = token.get();
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  const answer = await fetch(path, { cache: "no-store", headers }).catch(() => {
    throw new Unanswered("The service does not answer.");
  });
  if (answer.status === 401) throw new TokenWanted(bearer ? "The service does not know this token." : "");
  if (!answer.ok) throw new Unanswered(`The service answered ${answer.status}.`);
  return answer;
}

export const model = async () => (await get("/v1/model")).json();

/** Rows of `{ title, url }`. */
export const samples = async () => (await (await get("/v1/samples")).json()).samples;

export const sampleVideo = async (url) => (await get(url)).blob();

export const ready = () => fetch("/readyz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
