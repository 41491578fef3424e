/* vmath.h: exp log tanh sigmoid erf log1p expm1 of a vector. */
