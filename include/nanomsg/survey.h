/* SURVEYOR and RESPONDENT: one question to all, answers until a deadline. */
#ifndef SURVEY_H_INCLUDED
#define SURVEY_H_INCLUDED

#define NN_PROTO_SURVEY 6

/* 0 and 1 of this family belonged to an earlier, incompatible protocol. */
#define NN_SURVEYOR (NN_PROTO_SURVEY * 16 + 2)
#define NN_RESPONDENT (NN_PROTO_SURVEY * 16 + 3)

/* Option of level NN_SURVEYOR: milliseconds during which answers are accepted. */
#define NN_SURVEYOR_DEADLINE 1

#endif
