// Who asks: a token, or headers, that functions of the application bring.

/** The subprotocol that is spoken, and what bears a token beside it. */
const subprotocol = "bindery";
const bearerPrefix = `${subprotocol}.bearer.`;

export class Credentials {
  #token;
  #headers;

  constructor({ token, headers }) {
    this.#token = token;
    this.#headers = headers;
  }

  /** Whether there is anything to ask for. */
  get any() {
    return this.#token !== undefined || this.#headers !== undefined;
  }

  /**
   * Asks the functions. status is that of the refusal which made what they brought
   * before worthless, 0 otherwise. The answer is {headers, protocols, text}; answers
   * with the same text are the same.
   */
  async ask(status = 0) {
    const [token, more] = await Promise.all([valueOf(this.#token, status), valueOf(this.#headers, status)]);
    const headers = {};
    const protocols = [];
    for (const [name, value] of more ? new Headers(more) : []) headers[name] = value;
    if (token) {
      headers.authorization = `Bearer ${token}`;
      protocols.push(subprotocol, bearerPrefix + base64url(String(token)));
    }
    return { headers, protocols, text: JSON.stringify([headers, protocols]) };
  }
}

/** What is known of a client that nobody gave a token: nothing. */
export const anonymous = Object.freeze({ headers: Object.freeze({}), protocols: Object.freeze([]), text: "" });

const valueOf = (given, status) => (typeof given === "function" ? given({ status }) : given);

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
